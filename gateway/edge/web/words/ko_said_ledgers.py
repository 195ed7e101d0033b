"""What the gateway says in English of a ledger that cannot be used, and how it is said in Korean.

Rule: as in `ko_said.py`; the sentences are those of rules/conditions.py, ledger/remedies.py and ledger/files.py.
"""

SAID = (
    (r"nothing is given out and no key is taken: (?P<why>.+)", "주소를 발급하지 않고 새 키를 받지 않습니다: {why}"),
    (r"(?P<path>\S+) cannot be used \((?P<why>.+)\)", "{path}: 사용할 수 없음({why})"),
    (r"database is locked", "데이터베이스가 잠겨 있음"),
    (r"database or disk is full", "디스크에 빈 공간이 없음"),
    (r"attempt to write a readonly database", "데이터베이스가 읽기 전용임"),
    (r"unable to open database file", "데이터베이스 파일을 열 수 없음"),
    (r"disk I/O error", "디스크 입출력 오류"),
    (r"file is not a database", "데이터베이스 파일이 아님"),
    (r"database disk image is malformed", "데이터베이스 파일이 손상됨"),
    (r"make room on that disk", "디스크 공간을 확보하십시오"),
    (r"give the file and its folder to this user", "파일과 폴더를 이 사용자에게 주십시오"),
    (r"find out which other program has it open", "어떤 프로그램이 파일을 열고 있는지 찾으십시오"),
    (r"look at the disk and at the system's log", "디스크와 시스템 로그를 확인하십시오"),
    (
        r"stop the gateway and put a backup back by `ec-gateway ledger restore`",
        "게이트웨이를 중지하고 `ec-gateway ledger restore`로 백업을 복원하십시오",
    ),
    (r"put it back and restart the gateway", "제자리에 되돌리고 게이트웨이를 재시작하십시오"),
    (r"what was written last is lost", "마지막에 기록한 내용은 사라졌습니다"),
    (r"nothing was changed", "변경된 것은 없습니다"),
    (
        r"`ec-gateway ledger restore BACKUP -c FILE` will put a backup in its place and keep this file beside it .+",
        (
            "`ec-gateway ledger restore BACKUP -c FILE`로 백업을 복원하면 이 파일은 옆에 보관됩니다(백업이 없을 때 "
            "파일을 치우면 새 원장이 시작됩니다)"
        ),
    ),
)
"""As in `ko_said.py`."""
