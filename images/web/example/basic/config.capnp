using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "basic", worker = .basic)],
  sockets = [(name = "http", address = "*:8080", http = (), service = "basic")],
);

const basic :Workerd.Worker = (
  modules = [(name = "worker.py", pythonModule = embed "worker.py")],
  bindings = [(name = "GREETING", text = "Hello")],
  compatibilityDate = "2026-03-01",
  compatibilityFlags = ["python_workers"],
);
