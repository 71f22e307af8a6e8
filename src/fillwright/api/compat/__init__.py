"""The client dialects of five earlier engines, served under `/api`, `/ws` and `/static` beside the canonical API.

`dialects` is the table of how they differ, `requests` reads them, `progress` folds events into the steps that
their clients know, `shapes` writes them; the routes and sockets on top hold no dialect's peculiarities.
"""
