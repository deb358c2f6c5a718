//! Sealed claims: gateway, operator and database agree on the key, or an error says what to do.

use std::{fs, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

use super::kit::{
    Dev, Folder, PATIENCE, Serving, chat, done, question, run, run_json, serving, stderr, tollgate,
};

#[tokio::test]
async fn gateway_operator_and_database_agree_on_seals_or_are_told_what_to_do() {
    let folder = Folder::new();
    let here = folder.path();
    let dev = Dev::start(here).await;
    let [key, other] = ["c0ffee42", "decade00"].map(|digits| digits.repeat(8));
    fs::write(here.join("key"), &key).unwrap();
    fs::write(here.join("other"), &other).unwrap();
    let refused = async |arguments: &[&str], words: &[&str]| {
        let output = run(here, arguments).await;
        let said = stderr(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(!said.contains("c0ffee42") && !said.contains("decade00"), "{said}");
    };
    let serve = ["serve", "--config", "tollgate.toml"];

    // A key, and nobody who asks for seals.
    fs::write(here.join("tollgate.toml"), serving(&dev, "seal_key = \"file:key\"")).unwrap();
    refused(&serve, &["database.seal_key", "without a seal", "tollgate migrate --seal-key"]).await;
    refused(&["migrate", "--seal-key", &key], &["env:NAME", "file:/path"]).await;
    refused(&["migrate", "--seal-key", "file:nowhere"], &["--seal-key", "file:nowhere"]).await;

    // Sealed by what the configuration names: whoever calls without a seal waits, and the operator goes on.
    let migrated = run_json(
        here,
        &[
            "migrate",
            "--config",
            "tollgate.toml",
            "--database-url",
            dev.ready["database_url"].as_str().unwrap(),
            "--json",
        ],
    )
    .await;
    assert_eq!(migrated["sealed"].as_bool(), Some(true), "{migrated}");
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 503);
    let ready = dev.get("/readyz").await;
    let ready = std::str::from_utf8(ready.body()).unwrap();
    assert!(ready.contains("does not accept the claims"), "{ready}");
    let shown = run_json(here, &["org", "show", dev.organization(), "--json"]).await;
    assert!(shown["credits"]["posted"].as_i64().unwrap() > 0, "{shown}");
    assert_eq!(run_json(here, &["reconcile", "--json"]).await["ok"].as_bool(), Some(true));
    let proof = run_json(here, &["prove", "--read-only", "--json"]).await;
    assert_eq!(proof["ok"].as_bool(), Some(true), "{proof}");
    assert!(proof["probes"].as_u64().unwrap() > 100, "{proof}");

    // An operator who cannot read the keys needs the gateway's.
    let text = serving(&dev, "");
    let login = text.split('"').find(|word| word.contains("tollgate_login@")).unwrap().to_owned();
    let books = ["reconcile", "--json", "--database-url", &login];
    refused(&books, &["tollgate_seals", "--config"]).await;
    let with_config = [&books[..], &["--config", "tollgate.toml"]].concat();
    assert_eq!(run_json(here, &with_config).await["ok"].as_bool(), Some(true));

    // A gateway that agrees starts; one that does not is told.
    let mut agreeing = tollgate(here).args(serve).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(agreeing.stderr.take().unwrap()).lines();
    let started = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("ready") {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, started).await.unwrap());
    agreeing.kill().await.unwrap();
    fs::write(here.join("tollgate.toml"), serving(&dev, "")).unwrap();
    refused(&serve, &["sealed claims only", "database.seal_key", "tollgate migrate --unseal"])
        .await;
    fs::write(here.join("tollgate.toml"), serving(&dev, "seal_key = \"file:other\"")).unwrap();
    refused(&serve, &["does not accept this key", "--seal-key"]).await;

    // The next start of `tollgate dev` reads the key, as its administrator.
    dev.stop().await;
    let dev = Dev::start(here).await;
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    let unsealed = run_json(here, &["migrate", "--unseal", "--json"]).await;
    assert_eq!(unsealed["sealed"].as_bool(), Some(false));
    assert_eq!(dev.get("/readyz").await.status(), 200);
    // A seal that nobody asks for any more does no harm.
    assert_eq!(dev.send(dev.chat(&question(false), &[])).await.status(), 200);
    dev.stop().await;
}

#[tokio::test]
async fn a_key_is_changed_for_another_while_calls_go_on() {
    let folder = Folder::new();
    let here = folder.path();
    let dev = Dev::start(here).await;
    for (name, digits) in [("old", "c0ffee42"), ("new", "decade00")] {
        fs::write(here.join(name), digits.repeat(8)).unwrap();
    }
    let gateway = async |name: &str| {
        let text = serving(&dev, &format!("seal_key = \"file:{name}\""));
        Serving::start(here, &format!("{name}.toml"), &text).await
    };
    let status = async |gateway: &Serving| {
        let request = chat(&gateway.url, dev.token("member"), &question(false), &[]);
        dev.send(request).await.status().as_u16()
    };
    let sealed = done(here, "migrate --seal-key file:old").await;
    assert_eq!(sealed["sealed"].as_bool(), Some(true), "{sealed}");
    let before = gateway("old").await;
    assert_eq!(status(&before).await, 200);

    // Both hold, so that gateways can be restarted one after the other.
    done(here, "migrate --seal-key file:new --seal-key file:old").await;
    assert_eq!(status(&before).await, 200);
    let after = gateway("new").await;
    assert_eq!([status(&before).await, status(&after).await], [200, 200]);

    // The new one alone.
    done(here, "migrate --seal-key file:new").await;
    assert_eq!([status(&before).await, status(&after).await], [503, 200]);
    assert_eq!(done(here, "reconcile").await["ok"].as_bool(), Some(true));

    let unsealed = done(here, "migrate --unseal").await;
    assert_eq!(unsealed["sealed"].as_bool(), Some(false), "{unsealed}");
    // What a seal was needed for goes on without.
    assert_eq!([status(&before).await, status(&after).await], [200, 200]);
    assert_eq!(status_of_dev(&dev).await, 200);
    dev.stop().await;
}

async fn status_of_dev(dev: &Dev) -> u16 {
    dev.send(dev.chat(&question(false), &[])).await.status().as_u16()
}
