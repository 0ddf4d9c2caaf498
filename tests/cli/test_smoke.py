def test_one(run, pair):
    r = run("analogy", *pair)
    print(r)
    assert r.code == 0
