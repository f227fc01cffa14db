"""Measure litefleet side by side with stock Litestream: same machine, same data, alternately, in one run."""
