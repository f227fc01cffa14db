"""NATS: one supervised connection, and object stores on top of it.

``connection``   a connection that fails fast, names what is wrong and matches refusals with requests
``link``         a connection that is opened again when it has ended for good
``objects``      the object store of a bucket: check, put, info, list, read, purge
``metadata``     what describes an object, as JSON
"""
