from ometria_provider.report import render, run_report
import subprocess, sys, os
def test_look(sync):
    sync.mapping()
    for _ in range(2):
        try:
            w = sync.run()
        except Exception as e: print("ERR", e)
        with sync.ledger.read() as c:
            from sqlalchemy import text
            rid = c.execute(text("select max(id) from sync_run")).scalar()
        print(render(run_report(sync.ledger, rid)))
        print("=====")
