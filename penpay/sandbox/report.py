"""The truth as a judge reads it: everything, or the totals in integer minor units."""

from typing import Any

from penpay.sandbox.world import World


def everything(world: World) -> dict[str, Any]:
    """All facts, with opening and current balances. Money in minor units, times in epoch seconds."""
    return {
        "summary": summary(world),
        "pushes": list(world.pushes.values()),
        "payments": list(world.payments.values()),
        "reversals": list(world.reversals.values()),
        "provider_reversals": world.provider_reversals,
        "payouts": list(world.payouts.values()),
        "transfers": list(world.transfers.values()),
        "funds": world.funds,
        "codes": [{"used": code.code in world.used_codes, "code": code} for code in world.codes.values()],
        "sms": world.sms,
        "mail": world.mail,
        "wallets": list(world.wallets.values()),
        "customers": [
            {
                "loginid": account.customer.loginid,
                "fullname": account.customer.fullname,
                "email": account.customer.email,
                "currency": account.customer.currency,
                "is_agent": account.customer.is_agent,
                "is_virtual": account.customer.is_virtual,
                "opening_minor": account.opening_minor,
                "current_minor": account.balance_minor,
            }
            for account in world.accounts.values()
        ],
    }


def summary(world: World) -> dict[str, Any]:
    """Totals. Every `current_minor` equals its opening plus what the other lines say was moved."""
    assert world.opening is not None
    opening = world.opening
    agent = world.accounts[opening.agent_loginid]
    customers = [one for one in world.accounts.values() if not one.customer.is_agent and not one.customer.is_virtual]
    reversed_payments = [payment for payment in world.payments.values() if payment.reversed_by]
    paid_out = [payout for payout in world.payouts.values() if payout.result_code == "0"]
    inward = [one for one in world.transfers.values() if one.kind == "paymentagent_transfer"]
    outward = [one for one in world.transfers.values() if one.kind == "paymentagent_withdraw"]
    return {
        "paybill": {"opening_minor": opening.paybill_minor, "current_minor": world.paybill_minor},
        "utility": {"opening_minor": opening.utility_minor, "current_minor": world.utility_minor},
        "charges": {"opening_minor": 0, "current_minor": world.charges_minor},
        "agent": {
            "loginid": opening.agent_loginid,
            "opening_minor": opening.agent_minor,
            "current_minor": agent.balance_minor,
        },
        "customers": {
            "count": len(customers),
            "opening_minor": sum(one.opening_minor for one in customers),
            "current_minor": sum(one.balance_minor for one in customers),
        },
        "pushes": {"count": len(world.pushes), "open": sum(1 for one in world.pushes.values() if not one.result_code)},
        "payments": _total(world.payments.values()),
        "reversals": _total(reversed_payments),
        "payouts": _total(paid_out),
        "transfers": _total(inward),
        "withdrawals": _total(outward),
        "funds": {
            account: sum(one.delta_minor for one in world.funds if one.account == account)
            for account in sorted({one.account for one in world.funds})
        },
        "sms": len(world.sms),
        "mail": len(world.mail),
    }


def _total(moves: Any) -> dict[str, int]:
    amounts = [move.amount_minor for move in moves]
    return {"count": len(amounts), "amount_minor": sum(amounts)}
