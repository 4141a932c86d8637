"""The command `causeway`: one file a command, joined in `app`; `options` holds what they share.

The verbs that act on a running router speak to its `admin.sock`; the others need no running one.
"""
