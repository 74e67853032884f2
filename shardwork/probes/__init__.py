"""Code that runs inside the sandbox: it serves the judge's questions and describes objects.

Everything here belongs to the student once the notebook has run: an answer is a claim, never
evidence. The judge never imports these modules except `shardwork.probes.modules` and
`shardwork.probes.numbers`, which both sides need for the same small networks and random blocks.
"""
