"""Save and load checkpoints: atomic, verified, never executable; the previous one is kept.

``checkpoints/000120/`` holds ``weights.safetensors`` (model and objective), ``state.safetensors`` and ``state.json``
(the tensors and the plain values of optimiser and counters) and ``manifest.json`` (size and sha256 of the others).
The folder appears under its name only when it is complete. No file of it is a pickle.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from gazekit.disk.atomic import (
    PARTIAL,
    check_folder,
    disk_errors,
    own_folder,
    sync_folder,
    write_through,
    written_through,
)
from gazekit.disk.own_files import FileKind, check_size, opened, read_bytes, read_model
from gazekit.disk.plain_text import visible
from gazekit.errors import DataError
from gazekit.runs.checkpoints import state_text
from gazekit.runs.checkpoints.tensor_file import check_types, pieces_of
from gazekit.runs.files import SELECTED

SCHEMA: Final = "gazekit.checkpoint/2"
_KEPT = 2
_FILES = ("weights.safetensors", "state.safetensors", "state.json")
_MANIFEST = "manifest.json"
_LARGEST_TEXT = 4 * 2**20
"""Size limit of ``state.json``, ``manifest.json`` and a safetensors file's tensor list; large nets stay far below."""
_LARGEST = 2**36
"""Size limit of the tensors of an unknown model: 64 GiB."""
_ROOM = 64 * 2**20
_OF_MODEL = 8
"""Most that the state of a training takes, in multiples of the model: timm's adan with an average of the weights 5."""
AGAIN = "use an earlier checkpoint, get another copy of the run, or train it again"
"""Remedy for an invalid file, when only its folder is known."""
_TEXT = FileKind("a part of a checkpoint", _LARGEST_TEXT, AGAIN)
_TENSORS = FileKind("the tensors of a checkpoint", _LARGEST, AGAIN)


class _FileFacts(pydantic.BaseModel):
    bytes: int
    sha256: str


class _Manifest(pydantic.BaseModel):
    """``manifest.json``: size and checksum of the other files."""

    schema_: Annotated[Literal["gazekit.checkpoint/2"], Field(alias="schema")] = SCHEMA
    files: dict[str, _FileFacts]

    @pydantic.field_validator("files")
    @classmethod
    def _are_those(cls, files: dict[str, _FileFacts]) -> dict[str, _FileFacts]:
        if set(files) != set(_FILES):
            raise ValueError(f"expected {', '.join(_FILES)}")
        return files


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The model's tensors and the state needed to resume."""

    weights: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contents:
    """Copies of what a checkpoint holds, which stay as they are while the training goes on.

    Args:
        weights, tensors: by name, on the CPU.
        text: refers to ``tensors``.
    """

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    text: bytes

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> "Contents":
        """Copy weights by name, and tensors and plain values in dicts, lists and tuples.

        Raises:
            ConfigurationError: a component has a tensor of a type that a checkpoint does not hold.
        """
        tensors, text = state_text.write(state)
        check_types(weights, "weights")
        check_types(tensors, "state")
        return cls(_copied(weights), _copied(tensors), text.encode())

    @property
    def size(self) -> int:
        """Bytes on the disk, without the lists of tensors."""
        return len(self.text) + sum(each.nbytes for each in (*self.weights.values(), *self.tensors.values()))

    def files(self) -> Iterator[tuple[str, Iterable[memoryview]]]:
        """Yield the name of each file, and its bytes piece by piece."""
        pieces = pieces_of(self.weights), pieces_of(self.tensors), [memoryview(self.text)]
        return zip(_FILES, pieces, strict=True)


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def save_step(folder: Path, step: int, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Save the checkpoint of a step. Raises StorageError.

    Args:
        folder: of the checkpoints of a run.
        step: names this checkpoint.
        weights: tensors by name.
        state: tensors and plain values in dicts, lists and tuples.
    """
    return save_contents(folder, step, Contents.of(weights, state))


class _Abandoned(Exception):
    """Ends a checkpoint that nobody waits for."""


def save_contents(
    folder: Path, step: int, contents: Contents, *, abandoned: Callable[[], bool] = lambda: False
) -> Path:
    """Save the checkpoint of a step from copies of what it holds; see ``save_step``.

    Once ``abandoned`` says yes, writing ends and leaves nothing.
    """

    def check() -> None:
        if abandoned():
            raise _Abandoned

    check()
    facts = {}
    with _new_checkpoint(folder, f"{step:06d}", contents.size) as temporary:
        for name, pieces in contents.files():
            digest, sizes = hashlib.sha256(), []
            with written_through(temporary / name) as file:
                for piece in pieces:
                    check()
                    sizes.append(file.write(piece))
                    digest.update(piece)
            facts[name] = _FileFacts(bytes=sum(sizes), sha256=digest.hexdigest())
        manifest = json.dumps(_Manifest(files=facts).model_dump(by_alias=True), indent=2)
        write_through(temporary / _MANIFEST, manifest.encode())
        check()
    return folder / f"{step:06d}"


@contextmanager
def _new_checkpoint(folder: Path, name: str, size: int) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``folder/name`` when the block succeeds."""
    target, temporary = folder / name, folder / f".{name}{PARTIAL}"
    for own in _folders(folder):
        own_folder(own)
    with disk_errors(target, size):
        for left in folder.glob(f".*{PARTIAL}"):  # left by a process killed while writing
            shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            sync_folder(temporary)
            if target.exists():  # a resumed run repeats its last steps
                shutil.rmtree(target)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder)


def load(path: Path, *, module: torch.nn.Module | None = None) -> Checkpoint:
    """Read and verify a checkpoint.

    Args:
        path: its folder.
        module: the model that the weights must fit; a file much larger than its training needs is not read.

    Raises:
        DataError: missing, torn, altered, or too large.
    """
    manifest, kinds = _checked(path, _ROOM + _OF_MODEL * _bytes(module) if module else _LARGEST)
    content = {name: read_bytes(path / name, kind) for name, kind in kinds.items()}
    for name, data in content.items():
        if hashlib.sha256(data).hexdigest() != manifest.files[name].sha256:
            raise _damaged(path / name)
    try:
        weights, tensors = (_tensors(path / name, content[name]) for name in _FILES[:2])
        return Checkpoint(weights, state_text.read(content["state.json"].decode(), tensors))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,  # a RecursionError too
        safetensors.SafetensorError,
    ) as error:
        raise DataError(f"{path}: not a readable checkpoint: {visible(str(error))}") from None


def verify(path: Path) -> None:
    """Check the files of a checkpoint against its manifest; tensors are hashed without being held in memory.

    Raises:
        DataError: missing, torn, altered, or too large.
    """
    manifest, kinds = _checked(path, _LARGEST)
    for name, kind in kinds.items():
        with opened(path / name, kind) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files[name].sha256:
                raise _damaged(path / name)
            if kind is not _TEXT:
                file.seek(0)
                _check_list(path / name, file.read(8))
                _check_tensors(path / name)


def _check_tensors(path: Path) -> None:
    """Raise DataError if the list of tensors of a safetensors file does not fit the file."""
    try:
        with safetensors.safe_open(path, framework="pt"):
            pass
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable checkpoint: {visible(str(error))}") from None


def _checked(path: Path, most: int) -> tuple[_Manifest, dict[str, FileKind]]:
    """Return the manifest and each file's kind, after checking file sizes against the manifest."""
    manifest: _Manifest = read_model(path / _MANIFEST, _TEXT, _Manifest)
    tensors = replace(_TENSORS, most=most)
    kinds = {name: _TEXT if name.endswith("json") else tensors for name in _FILES}
    for name, kind in kinds.items():
        check_size(path / name, kind, manifest.files[name].bytes)
    return manifest, kinds


def _damaged(file: Path) -> DataError:
    return DataError(f"{file}: does not match its checksum; the file is damaged")


def _tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    """Read a safetensors file. Raises DataError: more tensors than a network has."""
    _check_list(path, content[:8])
    tensors: dict[str, Tensor] = safetensors.torch.load(content)
    return tensors


def _check_list(path: Path, begin: bytes) -> None:
    """Raise DataError if a safetensors file lists more tensors than a network has."""
    listed = int.from_bytes(begin, "little")
    if listed > _LARGEST_TEXT:
        raise DataError(f"{path}: its list of tensors has {listed} bytes, expected at most {_LARGEST_TEXT}")


def _bytes(module: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def load_latest(
    folder: Path, report: Callable[[str], None], *, module: torch.nn.Module | None = None
) -> Checkpoint | None:
    """Load the newest intact checkpoint, or None; ``report`` is called for each damaged one."""
    for path in reversed(steps_of(folder)):
        try:
            return load(path, module=module)
        except DataError as error:
            report(f"{error}; using the one before it")
    return None


def largest_weights(folder: Path) -> int:
    """Return the size in bytes of the largest weights file in a checkpoint folder; 0 if there is none."""
    files = [path / "weights.safetensors" for path in steps_of(folder)]
    return max((file.lstat().st_size for file in files if file.is_file()), default=0)


def put_weights(module: torch.nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Load weights into a module. Raises DataError: they belong to another model."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{where}: its checkpoint is of another model: {error}") from None


def forget_after(folder: Path, step: int) -> None:
    """Remove checkpoints of later steps, which a resumed run has not reached."""
    for path in steps_of(folder):
        if int(path.name) > step:
            shutil.rmtree(path, ignore_errors=True)


def forget_old(folder: Path, selected: Path) -> None:
    """Remove all checkpoints but the last two, and selected weights that are the best in neither.

    Args:
        folder: of the checkpoints of a run.
        selected: folder of the weights that were the best when saved. Those newer than the older checkpoint
            stay, and the last ones before it, which it names as the best.
    """
    for old in steps_of(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    oldest = int(steps_of(folder)[0].name)
    for old in [path for path in steps_of(selected) if int(path.name) <= oldest][:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _folders(folder: Path) -> tuple[Path, ...]:
    """Return a checkpoint folder; for the folder of selected weights, also its parent."""
    return (folder.parent, folder) if folder.name == SELECTED else (folder,)


def steps_of(folder: Path) -> list[Path]:
    """List the checkpoint folders, oldest first. Raises DataError: the folder is reached through a link."""
    for own in _folders(folder):
        check_folder(own)
    found = (
        (
            path
            for path in folder.iterdir()
            if path.name.isdecimal() and path.is_dir() and not path.is_symlink()
        )
        if folder.is_dir()
        else ()
    )
    return sorted(found, key=lambda path: int(path.name))
