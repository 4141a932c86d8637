"""Servers that behave like other people's: `causeway bench fake NAME`, and the tests' other side.

`profiles` says who does what, `fake` is one server and its Python API. It makes `accepting` and
`dialling` streams, both `stream`s that `verifying` and `routes` serve; `reading`, `words`, `link`
and `judgement` are below them. Nothing here imports the router: a fake has to be able to disagree.
"""
