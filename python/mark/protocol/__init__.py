"""What router, worker and client say to each other: messages, statuses, tensors, and the gRPC service around them."""
