"""The judge: a trusted process that runs one submission's notebook and its graders.

It is started by the batch with a job and answers with verdicts. It holds what is evidence: expected
values, random inputs, instruments, clocks. It never unpickles and never opens a path that a sandbox
named.
"""
