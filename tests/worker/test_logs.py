from __future__ import annotations

import logging

from gwworker.logs import set_level


class Told(logging.Logger):
    """Notes each level that it is given."""

    def __init__(self, level: int) -> None:
        self.levels: list[int | str] = []
        super().__init__("told", level)

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        self.levels.append(level)
        super().setLevel(level)


def test_a_level_that_is_there_already_is_not_set_so_no_logger_forgets_what_it_knows() -> None:
    logger = Told(logging.INFO)
    set_level(logger, logging.INFO)
    set_level(logger, logging.CRITICAL)
    set_level(logger, logging.CRITICAL)
    assert logger.levels == [logging.CRITICAL]
    assert logger.level == logging.CRITICAL
