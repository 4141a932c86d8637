"""`python -m router.acceptor`: what the supervisor starts."""

from router.acceptor.process import main

main()
