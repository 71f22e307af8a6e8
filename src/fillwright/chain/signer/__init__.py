"""The signer: a process of its own that holds the key and signs only what an order and its policy ask for."""
