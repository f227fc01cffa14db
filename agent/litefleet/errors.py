"""Every error a user can meet, in one tree.

    LitefleetError                  1
    ├── UsageError                  2   the command line
    ├── ConfigError                 2   the configuration file
    ├── NatsError                   3   anything the NATS side says
    │   ├── ServerUnreachable       3   nobody answers (retry can help)
    │   ├── AuthenticationFailed    3   the server refuses who we are
    │   ├── PermissionDenied        3   the server refuses what we ask
    │   ├── TLSFailed               3   no trust, or no encryption
    │   ├── BucketNotFound          4
    │   ├── BucketFull              4
    │   ├── BucketUnusable          4   it exists, but its settings do not fit
    │   ├── BucketTaken             4   it belongs to another database, or another agent has taken it over
    │   ├── BucketLost              4   what was acknowledged is not there any more (retry after a new look)
    │   ├── ObjectExists            3   somebody stored an object of that name before us (retry after a new look)
    │   ├── ObjectCorrupt           5   an object is incomplete or its digest differs
    │   └── RequestFailed           3   a refused or unanswered request (retry can help)
    ├── LTXError                    5   bytes that are not the LTX file they should be
    ├── DatabaseError               6   SQLite, its file or its WAL
    │   └── WALError                6
    ├── RestoreError                7
    │   ├── NoBackup                7   nothing, or nothing for that point in time
    │   ├── OutputExists            7
    │   └── IntegrityFailed         7
    ├── NotDurable                  8   transactions the server has not acknowledged
    └── AgentUnreachable            9   no agent answers on the control socket

Each error says what happened and where; ``hint`` says what to do; ``exit_code`` is the process's; ``retryable`` tells
whether the same call can succeed later without a human.
"""

from __future__ import annotations


class LitefleetError(Exception):
    """Base of all errors that are reported to the user as one line."""

    exit_code = 1
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(LitefleetError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class ConfigError(LitefleetError):
    """The configuration file is wrong; nothing was started."""

    exit_code = 2


class NatsError(LitefleetError):
    """Base of everything that concerns the NATS server."""

    exit_code = 3


class ServerUnreachable(NatsError):
    """No server of the list answers."""

    retryable = True


class AuthenticationFailed(NatsError):
    """The server refuses the credentials."""


class PermissionDenied(NatsError):
    """The user may not publish or subscribe to a subject that is needed."""


class TLSFailed(NatsError):
    """The server is not trusted, or does not encrypt although it was asked to."""


class BucketNotFound(NatsError):
    """The object store bucket does not exist; the agent never creates one."""

    exit_code = 4


class BucketFull(NatsError):
    """The bucket, or the account, has no room left."""

    exit_code = 4
    retryable = True


class BucketUnusable(NatsError):
    """The bucket exists but lacks a setting that backups need."""

    exit_code = 4


class BucketTaken(NatsError):
    """The bucket belongs to another database, or another agent has taken it over."""

    exit_code = 4


class BucketLost(NatsError):
    """The bucket was emptied, made anew or rolled back: acknowledged transactions are not in it any more."""

    exit_code = 4
    retryable = True


class ObjectExists(NatsError):
    """An object of that name is there already, with another content."""

    retryable = True


class ObjectCorrupt(NatsError):
    """An object's chunks are missing, or do not match its digest."""

    exit_code = 5


class RequestFailed(NatsError):
    """A request was refused or got no answer in time."""

    retryable = True


class LTXError(LitefleetError):
    """Bytes that are not a valid LTX file."""

    exit_code = 5


class DatabaseError(LitefleetError):
    """SQLite, the database file or its WAL."""

    exit_code = 6


class WALError(DatabaseError):
    """The WAL or the WAL index is not what SQLite writes."""


class RestoreError(LitefleetError):
    """A restore that did not happen."""

    exit_code = 7


class NoBackup(RestoreError):
    """The bucket holds nothing for what was asked."""


class OutputExists(RestoreError):
    """The output file exists and ``--force`` was not given."""


class IntegrityFailed(RestoreError):
    """The restored database failed SQLite's own check; it was not put in place."""


class NotDurable(LitefleetError):
    """Committed transactions that the server has not acknowledged."""

    exit_code = 8


class AgentUnreachable(LitefleetError):
    """No agent answers on the control socket."""

    exit_code = 9


def first_error(group: BaseExceptionGroup[LitefleetError]) -> LitefleetError:
    """The first of the errors that ended a group of tasks; the others are consequences or the same."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LitefleetError)
    return error
