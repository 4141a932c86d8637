"""Reports of benchmarks: one self-contained page from one JSON document, and two compared.

`model` is what a benchmark's `page` module gives, `plots` the pictures, `page` the HTML, `registry`
which benchmarks have a page, `compare` the verdicts, `verb` the common tail of every command.
"""
