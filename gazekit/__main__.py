"""``python -m gazekit``, as launchers such as torchrun need it."""

from gazekit.cli.main import main

main()
