"""Tell which epoch of a training is the best one, and whether it has waited long enough for a better one."""

from typing import Literal

Select = Literal["auc", "loss", "last"]


def is_better(select: Select, auc: float, loss: float, best_auc: float, best_loss: float) -> bool:
    """Say whether an epoch replaces the best one so far.

    Args:
        select: ``"auc"``: higher validation AUC, in a tie lower validation loss; ``"loss"``: lower
            validation loss; ``"last"``: always.
        auc, loss: of this epoch's validation.
        best_auc, best_loss: of the best epoch so far; ``-inf`` and ``inf`` before the first.
    """
    if select == "last":
        return True
    if select == "loss":
        return loss < best_loss
    return (auc, -loss) > (best_auc, -best_loss)


def stopped_early(epoch: int, best_epoch: int, patience: int | None) -> bool:
    """Say whether a training has ended after an epoch because the best one is too long ago.

    Args:
        epoch, best_epoch: epochs completed, and the selected one; 0 = none yet.
        patience: ``training.patience``; None never ends a training.
    """
    return patience is not None and epoch - best_epoch >= patience
