"""Errors with a stable type. What a person reads is the message; what a program checks is `type`."""

from __future__ import annotations


class FreeholdError(Exception):
    """Base of all errors that Freehold raises on purpose.

    `retryable` says whether the same call may succeed later by itself: activities hand it on to Temporal.
    """

    retryable = False

    @property
    def type(self) -> str:
        return type(self).__name__


class BadInput(FreeholdError):
    """What a person or client gave cannot be used; says field, value and what is allowed."""


class NotFound(FreeholdError):
    """The named thing is not known."""


class CannotPlace(FreeholdError):
    """No plan fulfils the request with what is there; says what is missing, how many, where."""


class Conflict(FreeholdError):
    """Somebody else holds what was asked for; says who."""


class LeaseHeld(Conflict):
    """Another procedure works on this instance; says which."""


class DeviceError(FreeholdError):
    """Base of what goes wrong between Freehold and a device."""


class DeviceUnreachable(DeviceError):
    """No answer, connection refused or lost, or a time-out."""

    retryable = True


class HostKeyMismatch(DeviceError):
    """The device shows another host key than the inventory holds."""


class AuthenticationRefused(DeviceError):
    """The device does not accept our credentials."""


class CommandRejected(DeviceError):
    """The device understood and said no; its words are in the message."""


class ReadBackDiffers(DeviceError):
    """What was applied is not what the device now says."""

    retryable = True


class CablingWrong(DeviceError):
    """LLDP does not show the planned neighbour; says what is where."""


class ProofFailed(FreeholdError):
    """An observation contradicts what must be true."""


class SecretMissing(FreeholdError):
    """A credential reference has no secret behind it."""


class SecretStoreUnusable(FreeholdError):
    """The secret store cannot be opened: its key is missing, wrong or readable by others, or the file is broken."""


class NoticeNotSent(FreeholdError):
    """A webhook or mail server did not take a notice."""

    retryable = True


class ProgramMissing(FreeholdError):
    """A program that the stack needs is neither here nor can it be fetched; says what to install."""


class StackError(FreeholdError):
    """A part of the local stack, or the Temporal server in use, does not do what it must."""

    retryable = True


class MetricsUnavailable(FreeholdError):
    """What is measured cannot be read, or cannot be trusted as a whole; nothing is decided on it."""

    retryable = True


class ProcedureFailed(FreeholdError):
    """A procedure ended without reaching its goal; the message is its reason."""
