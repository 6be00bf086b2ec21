"""Who a payout goes to, carried on from the withdrawal to each of its payouts. Only the rail opens it."""

from dataclasses import replace

from penpay.domain.unit import NewOperation, OperationKind, UnitOfWork
from penpay.domain.withdrawal import Withdrawal
from penpay.domain.withdrawal_row import payee_aad
from penpay.ports import Sealer


def pays_out(unit: UnitOfWork) -> bool:
    """Whether the unit intends a payout."""
    return any(made.kind is OperationKind.B2C for made in unit.new_operations)


def with_payees(unit: UnitOfWork, saga: Withdrawal, *, sealer: Sealer, data_key: bytes) -> UnitOfWork:
    """The unit with the payee of each payout in it, sealed anew for its own place."""

    def sealed(made: NewOperation) -> NewOperation:
        if made.kind is not OperationKind.B2C:
            return made
        known = bytes.fromhex(saga.sealed_payee)
        payee = sealer.open(known, aad=payee_aad(saga.id), user_id=saga.user_id, data_key=data_key)
        aad = f"provider_operations|sealed_request|{made.id}"
        return replace(made, sealed_request=sealer.seal(payee, aad=aad, user_id=saga.user_id, data_key=data_key))

    return replace(unit, new_operations=tuple(map(sealed, unit.new_operations)))
