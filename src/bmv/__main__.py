"""``python -m bmv``: the command line where nothing is installed but the package itself."""

from bmv.cli.entry import main

main()
