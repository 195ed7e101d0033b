"""The status page: what an operator sees, in his language, and where he gives orders.

The HTML is complete as it leaves the gateway; a script of ours keeps it current where there is one.  Words are chosen
here and nowhere else (`words/`), what they say follows from the snapshot alone (`headline.py`, `views.py`), and
`pages.py` is the shell that reads requests.
"""
