"""`python -m shardwork` is the same as `shardwork`."""

from shardwork.command import main

if __name__ == "__main__":
    main()
