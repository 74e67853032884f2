"""The trusted side's hold on a sandbox: start it, run a notebook in it, talk to it, end it."""
