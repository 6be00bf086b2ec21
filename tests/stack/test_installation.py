import json

import pytest

from penpay.stack import ProcessFailed


def test_the_rails_say_how_they_are_reached(sandbox):
    report = sandbox.ready_report()
    assert report["control_url"].startswith("http://127.0.0.1:")
    assert report["environment"]["PENPAY_DARAJA__BASE_URL"] == report["url"]


def test_commands_run_against_the_private_database_and_nothing_else(make_installation, monkeypatch):
    monkeypatch.setenv("PENPAY_DATABASE__URL", "mysql://elsewhere/")
    steps = []
    installation = make_installation(on_step=steps.append)
    for child in (installation.mariadb, installation.redis, installation.sandbox):
        child.start()
    assert "migrations applied" in installation.run("migrate")
    assert installation.run("migrate").endswith(": 0 migrations applied\n")
    with pytest.raises(ProcessFailed, match=r"^penpay nonsense ended with 2\n"):
        installation.run("nonsense")


def test_the_environment_of_an_installation_is_a_complete_configuration(make_installation):
    installation = make_installation(settings={"PENPAY_TIMING__SPEED": "30"})
    for child in (installation.mariadb, installation.redis, installation.sandbox):
        child.start()
    installation.run("migrate")
    found = {one["check"]: one for one in json.loads(installation.run("doctor", "--json"))}
    levels = {name: found[name]["level"] for name in ("configuration", "database", "redis", "node")}
    assert levels == {"configuration": "ok", "database": "ok", "redis": "ok", "node": "note"}, "nobody runs yet"
    node = installation.add_node("node-1")
    assert installation.node is node
    assert installation.sandbox.argv[installation.sandbox.argv.index("--redirect-url") + 1].startswith(node.public_url)


def test_an_installation_leaves_no_process_and_no_folder(make_installation):
    installation = make_installation()
    installation.redis.start()
    installation.mariadb.start()
    installation.stop()
    assert not installation.redis.is_running()
    assert not installation.mariadb.is_running()
    assert not installation.folder.exists()
    assert not installation.mariadb.folder.exists()


def test_data_that_was_asked_to_stay_outlasts_the_run(make_installation, tmp_path):
    first = make_installation(data=tmp_path)
    first.mariadb.start()
    url = first.mariadb.url().partition("?")[0]
    first.stop()
    second = make_installation(data=tmp_path)
    second.mariadb.start()
    assert second.mariadb.url().partition("?")[0] == url
