"""A run's books and its colour: green means done, red means act."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Books:
    """Where the members of a run ended. `rejected` counts distinct members, remembered ones included.

    :param new: the rejections among them that this run made.
    :param to_send: records that were ready to be sent.
    :param sent: members' records that Ometria acknowledged.
    :param departed: members who left; those who left the `where` are in `filtered` too, the others were not read.
    """

    read: int
    unchanged: int
    filtered: int
    rejected: int
    new: int
    to_send: int
    sent: int
    accepted: int
    pending: int
    departed: int = 0

    @property
    def balanced(self) -> bool:
        """Say whether every member read is in exactly one account."""
        accounts = (self.unchanged, self.filtered, self.rejected, self.accepted, self.pending)
        return min(accounts) >= 0 and self.read == sum(accounts)

    def columns(self) -> dict[str, int]:
        """Return the columns of `sync_run`."""
        counts = asdict(self)
        return {name: counts[name] for name in counts if name not in {"new", "to_send"}}


def verdict(books: Books, *, dry_run: bool, failures: list[str], breaches: list[str]) -> str | None:
    """Return why a run is red, or None when it is green.

    :param failures: what the run's tasks said when they failed, or did not finish.
    :param breaches: limits that the final counts break.
    """
    if failures:
        return " ".join(failures)
    if not books.balanced:
        return f"The books do not balance: {asdict(books)}. This is a fault of the package; please report it."
    if not dry_run and books.pending:
        return (
            f"{books.pending:,} records are pending: Ometria acknowledged requests in which it counted rejected "
            "records, or the push did not get to them. They are not delivered for sure."
        )
    if books.new and not books.accepted and (books.to_send if not dry_run else False):
        return f"Nothing arrived: every one of the {books.to_send:,} records to be sent was rejected."
    if books.rejected and not (books.unchanged or books.accepted or books.to_send):
        return f"Nothing arrived: all {books.rejected:,} members are rejected, now or by an earlier run."
    return " ".join(breaches) or None
