"""`python -m router` is the command `causeway`, for trees where it is not installed."""

from router.cli.app import main

main()
