import random

from gwsimulator.snowflakes import Mint, guild_snowflakes, shard_of, snowflake


def test_the_example_of_the_documentation() -> None:
    # https://docs.discord.com/developers/reference#snowflakes: 175928847299117063 is 1462015105796 ms
    assert snowflake(1_462_015_105_796, (1 << 17) | 7) == 175_928_847_299_117_063


def test_a_guild_is_on_the_shard_that_its_high_bits_name() -> None:
    assert shard_of(197_038_439_483_310_086, 64) == (197_038_439_483_310_086 // 4_194_304) % 64


def test_guilds_are_distinct_and_spread_evenly() -> None:
    ids = guild_snowflakes(64, 16, random.Random(1))
    assert len(set(ids)) == 64
    assert [shard_of(one, 16) for one in ids] == [index % 16 for index in range(64)]


def test_minted_ids_only_rise() -> None:
    mint = Mint()
    ids = [mint.new() for _ in range(10_000)]
    assert ids == sorted(set(ids))
