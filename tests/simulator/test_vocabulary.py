import pytest

from gwsimulator.vocabulary import intent_needed


@pytest.mark.parametrize(
    ("bit", "name"),
    [
        # https://docs.discord.com/developers/events/gateway#list-of-intents
        (0, "GUILD_CREATE"),
        (0, "GUILD_ROLE_DELETE"),
        (0, "CHANNEL_PINS_UPDATE"),
        (0, "THREAD_LIST_SYNC"),
        (0, "STAGE_INSTANCE_CREATE"),
        (1, "GUILD_MEMBER_ADD"),
        (2, "GUILD_AUDIT_LOG_ENTRY_CREATE"),
        (2, "GUILD_BAN_ADD"),
        (3, "GUILD_EMOJIS_UPDATE"),
        (3, "GUILD_SOUNDBOARD_SOUNDS_UPDATE"),
        (4, "INTEGRATION_CREATE"),
        (5, "WEBHOOKS_UPDATE"),
        (6, "INVITE_DELETE"),
        (7, "VOICE_STATE_UPDATE"),
        (7, "VOICE_CHANNEL_EFFECT_SEND"),
        (8, "PRESENCE_UPDATE"),
        (9, "MESSAGE_CREATE"),
        (9, "MESSAGE_DELETE_BULK"),
        (10, "MESSAGE_REACTION_REMOVE_EMOJI"),
        (11, "TYPING_START"),
        (16, "GUILD_SCHEDULED_EVENT_USER_ADD"),
        (20, "AUTO_MODERATION_RULE_CREATE"),
        (21, "AUTO_MODERATION_ACTION_EXECUTION"),
        (24, "MESSAGE_POLL_VOTE_ADD"),
    ],
)
def test_an_event_in_a_guild_hangs_on_its_bit(bit: int, name: str) -> None:
    assert intent_needed(name, in_guild=True) == 1 << bit


@pytest.mark.parametrize(
    ("bit", "name"),
    [
        (12, "MESSAGE_CREATE"),
        (12, "CHANNEL_PINS_UPDATE"),
        (13, "MESSAGE_REACTION_ADD"),
        (14, "TYPING_START"),
        (25, "MESSAGE_POLL_VOTE_REMOVE"),
    ],
)
def test_a_direct_message_hangs_on_others(bit: int, name: str) -> None:
    assert intent_needed(name, in_guild=False) == 1 << bit


def test_the_members_of_threads_come_with_either_of_two() -> None:
    assert intent_needed("THREAD_MEMBERS_UPDATE", in_guild=True) == 1 << 0 | 1 << 1


@pytest.mark.parametrize(
    "name",
    [
        "READY",
        "RESUMED",
        "INTERACTION_CREATE",
        "ENTITLEMENT_CREATE",
        "SUBSCRIPTION_UPDATE",
        "USER_UPDATE",
        "VOICE_SERVER_UPDATE",
        "GUILD_MEMBERS_CHUNK",
        "RATE_LIMITED",
        "APPLICATION_COMMAND_PERMISSIONS_UPDATE",
    ],
)
def test_some_events_need_no_intent(name: str) -> None:
    assert intent_needed(name, in_guild=True) == intent_needed(name, in_guild=False) == 0
