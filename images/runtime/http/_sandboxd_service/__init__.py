"""A replica of a service: what stands in its sandbox between the front and the service's own processes."""
