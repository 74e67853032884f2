"""`python -m shardwork.inside DESCRIPTOR`: the zygote."""

import sys

from shardwork.inside.zygote import main

main(int(sys.argv[1]))
