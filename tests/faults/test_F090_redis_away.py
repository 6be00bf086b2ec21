"""F90: Redis is away."""

from tests.faults.stage import Stage


async def test_money_goes_on_and_guessing_passwords_does_not(stage: Stage) -> None:
    who = stage.customer()
    public = stage.installation.node.public_url
    login = {
        "email": "nobody@example.com",
        "password": "some wrong password",
        "device": {"id": "d", "name": "d", "platform": "web"},
    }
    stage.installation.redis.kill()
    try:
        deposit = await stage.deposit(who)
        await stage.reaches(deposit, "COMPLETED")
        assert (await stage.get(who, f"/transactions/{deposit}")).status == 200
        statuses = []
        for _ in range(20):
            async with stage.session.post(f"{public}/api/v1/auth/login", json=login) as answer:
                statuses.append(answer.status)
        # A few may be judged by this node's own count; nobody gets to guess on.
        assert statuses.count(401) <= 5
        assert set(statuses) <= {401, 429, 503}
    finally:
        await stage.redis_again()
