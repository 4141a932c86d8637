"""Other people's servers, started and stopped: one module a server, one class a module.

Owns a daemon's config file, ports and process. Does not install it, knows nothing of the router.
Called by the interop tests, the benchmarks and the demo.
"""
