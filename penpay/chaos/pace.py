"""Settings under which the same people may pay again and again, and minutes of a saga take a second."""

FASTER = {
    "PENPAY_TIMING__SPEED": "100",
    # As if the times of sagas were not divided: a push that waits for a restart is still wanted.
    "PENPAY_TIMING__STK_MAX_AGE_S": "6000",
    "PENPAY_TIMING__PAID_IN_TIME_S": "6000",
    # What nobody can tell, such as a refusal or a refund whose answer was lost, goes to a person a minute later.
    "PENPAY_TIMING__UNKNOWN_UNTIL_S": "6000",
    "PENPAY_TIMING__REFUND_RECEIPT_WAIT_S": "6000",
    "PENPAY_LIMITS__STK_MIN_INTERVAL_S": "0.05",
    "PENPAY_LIMITS__DEPOSIT_PER_MINUTE": "1000",
    "PENPAY_LIMITS__DEPOSIT_PER_HOUR": "10000",
    "PENPAY_LIMITS__READ_PER_MINUTE": "10000",
    "PENPAY_LIMITS__DARAJA_STK_PER_S": "0",
    "PENPAY_LIMITS__DARAJA_OTHER_PER_S": "0",
    "PENPAY_LIMITS__DERIV_CALLS_PER_MINUTE": "0",
    "PENPAY_LIMITS__DERIV_READS_PER_MINUTE": "0",
}
"""What a crowd of depositors needs."""

WITHDRAWING = {
    "PENPAY_LIMITS__WITHDRAWAL_PER_MINUTE": "1000",
    "PENPAY_LIMITS__WITHDRAWAL_PER_DAY": "10000",
    "PENPAY_LIMITS__OTP_PER_15_MINUTES": "10000",
    "PENPAY_LIMITS__DARAJA_B2C_PER_S": "0",
}
"""What it needs beside, to withdraw as well."""

LEASE_S = 6.0
STORMY = {
    **FASTER,
    **WITHDRAWING,
    # Where nodes die every few seconds evidence takes its time, and slow machines take twice as long.
    "PENPAY_TIMING__UNKNOWN_UNTIL_S": "12000",
    "PENPAY_TIMING__REFUND_RECEIPT_WAIT_S": "12000",
    "PENPAY_TIMING__SHARD_LEASE_S": str(LEASE_S),
    "PENPAY_TIMING__LEASE_RENEW_S": "2",
    # Nobody signs in twice, however long it takes.
    "PENPAY_TIMING__ACCESS_TOKEN_S": "14400",
    # Calls that get no answer are given up before the next storm.
    "PENPAY_TIMING__DARAJA_CALL_S": "4",
    "PENPAY_TIMING__DERIV_CALL_S": "4",
    "PENPAY_LIMITS__DEPOSIT_DAY_USD": "100000",
    "PENPAY_LIMITS__WITHDRAWAL_DAY_USD": "100000",
    # Else everything that one person pays in after the third time waits for a query.
    "PENPAY_LIMITS__UNVERIFIED_DAY_KES": "10000000",
}
"""For both directions on nodes that are killed: a lease that a minute of chaos outlives."""
