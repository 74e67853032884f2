"""No false alarm: 200 right answers with the habits of honest students.

Each must get full points; nobody is killed, nothing is flagged, nothing is left behind.
`python -m tests.attacks.honest` runs them all.
"""
