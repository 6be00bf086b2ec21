"""The harness: private servers for tests, started once per run and only when a test asks for them.

Fixtures (servers.py, databases.py, processes.py), all usable from plain and from `async` tests:

- `mariadb` (session): the `PrivateMariaDB` that all tests share. `mariadb.url()` is the runtime login's URL,
  `mariadb.url("admin")` the one for `migrate`, both as `mysql://user:password@localhost/?unix_socket=…`;
  `with mariadb.connect() as c:` is a blocking PyMySQL connection of the admin. Never stop this server.
- `private_mariadb` (function): a running server of the test's own, on a copy of an initialised data folder (0.1 s);
  `.kill()`, `.start()`, `.restart()`, `.stop()`, `.send(SIGSTOP)`;
  `await .start_async()`, `.stop_async()`, `.restart_async()`.
- `database` (function), `module_database` (module): three migrated schemas of their own on the shared server: `.url`,
  `.admin_url`, `.prefix`, `.shards` (4), `.installation_id`, `.rows("SELECT … FROM {ledger}.units")` as admin.
- `private_database` (function): the same on a `private_mariadb`, reached as `.server`, for tests that kill it.
- `redis` (function): the shared `PrivateRedis`, flushed before the test; `.url()` is `unix://…`,
  `.command("PING")`, `.flush()`.
- `private_redis` (function): a running one of the test's own.
- `sandbox` (function): the simulated rails as a process; `.ready_report()` has `url`, `control_url` and `environment`.
- `installation` (module): a running `PrivateInstallation` (database, redis, sandbox, migrations, one node), sagas 30
  times faster: `.node.public_url`, `.node.internal_url`, `.node.kill()`, `.control_url`, `.ops_token`, `.mariadb`,
  `.redis`, `.run("check", "--json")`, `.add_node("node-2")`. `node` is `installation.node`.
- `make_installation` (function): the class, for a test that needs other settings or breaks things; call `.start()`.
- `run_folder` (function): a short folder for sockets and files of one test's child processes, removed afterwards.

Besides: `wire.Wire` is a line between a process and a Unix socket that can be slowed down, silenced, led elsewhere, and
cut at the packet of a COMMIT; `small_disk` is a server whose disk can be full; `crashing_node` is a node that dies at
one named point (`python -m tests.harness.crashing_node`), and `dying_comparison` is a `penpay reconcile` that does.

A server that is not installed fails the test; nothing is skipped. Data lies in memory where /dev/shm has room, with the
durable settings on, so nothing differs from production but the disk.
"""
