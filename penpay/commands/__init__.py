"""The commands of `penpay`, by what they are for. Registered in `penpay.cli`; heavy imports stay inside."""
