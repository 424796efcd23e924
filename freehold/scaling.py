"""The rules of scaling as the operator keeps them: `scaling.yaml` in home, or those that come with Freehold."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from freehold.books import Kept, check_tier, read_yaml
from freehold.errors import BadInput
from freehold.models.scaling_policy import ScalingBook, ScalingPolicy
from freehold.models.wording import in_words

SHIPPED = Path(__file__).with_name("scaling.yaml")


class ScalingRules(Kept[ScalingBook]):
    """When an instance is too small or too big, and how fast that is answered."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SHIPPED, read_scaling_book)
        self._of: tuple[ScalingBook, dict[tuple[str, str], ScalingPolicy]] | None = None

    def of(self, service_name: str, tier: str) -> ScalingPolicy:
        """What holds for instances of that service and tier. Raises BadInput in one sentence."""
        book = self.book()
        if self._of is None or self._of[0] is not book:
            self._of = book, {}
        policies = self._of[1]
        if (service_name, tier) not in policies:
            policies[service_name, tier] = book.policy(service_name, tier)
        return policies[service_name, tier]


def read_scaling_book(path: Path) -> ScalingBook:
    """Raises BadInput that names the file, the place in it, the value and what is allowed."""
    book = read_yaml(path, ScalingBook)
    for number, rule in enumerate(book.rules, start=1):
        _check(f"{path}: rule {number}", book, number)
        check_tier(f"{path}: rule {number}", rule.service, rule.tier)
    return book


def _check(where: str, book: ScalingBook, number: int) -> None:
    """What follows from the rules up to this one must make sense wherever it holds."""
    rule = book.rules[number - 1]
    upper = ScalingBook(rules=book.rules[:number])
    try:
        upper.policy(rule.service or "", rule.tier or "")
    except ValidationError as error:
        raise BadInput(f"{where}: {in_words(error)}.") from error
