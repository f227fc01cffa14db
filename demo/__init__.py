"""``python -m demo``: a fleet from nothing, one of its hosts destroyed, and its databases back.

Nothing is simulated: real systemd hosts, the playbooks that users run, databases that Debian packages ship, and an
application that goes on committing until its host loses power.
"""
