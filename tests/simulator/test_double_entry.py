"""The simulator and the program have Discord's numbers typed separately; here they meet."""

from gwcluster import discord
from gwsimulator import Settings, snowflakes, vocabulary


def test_opcodes_agree() -> None:
    assert {op.name: op.value for op in discord.Op} == {op.name: op.value for op in vocabulary.Op}


def test_intents_agree() -> None:
    assert {intent.name: intent.value for intent in vocabulary.Intent} == discord.INTENTS


def test_every_close_code_of_the_simulator_has_a_meaning_in_the_program() -> None:
    assert {code.value for code in vocabulary.CloseCode} <= discord.CLOSE_MEANINGS.keys()


def test_limits_agree() -> None:
    settings = Settings()
    assert settings.identify_window_s == discord.IDENTIFY_WINDOW_S
    assert (settings.send_limit, settings.send_window_s) == (discord.SEND_LIMIT, discord.SEND_WINDOW_S)
    assert settings.max_payload_bytes == discord.SEND_BYTES
    assert str(discord.API_VERSION) == vocabulary.API_VERSION


def test_snowflakes_agree() -> None:
    guild = 197_038_439_483_310_086
    assert [snowflakes.shard_of(guild, n) for n in range(1, 200)] == [
        discord.shard_of(guild, n) for n in range(1, 200)
    ]
