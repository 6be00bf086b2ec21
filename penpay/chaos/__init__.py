"""Behind `penpay chaos`: many transactions while everything breaks, then the proof that nothing was lost or doubled."""
