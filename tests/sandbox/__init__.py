"""The sandbox over raw HTTP and WebSocket frames, in the shapes of the provider documents."""
