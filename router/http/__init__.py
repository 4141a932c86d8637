"""What a node shows over HTTP: read-only, on `listen.http` and on the admin socket.

app           the routes, and what they need of the node
metrics_page  /metrics in the formats Prometheus reads
status_page   / for people
"""
