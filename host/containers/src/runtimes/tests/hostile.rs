//! Sockets that answer late, too much, or what nobody asked for.

use super::server::{Answer, Server, recorded, wait};
use super::{Runtime, Sockets, listen, until};
use containerd_client::services::v1 as containerd;
use containerd_client::types::Descriptor;
use k8s_cri::v1::{Container, ListContainersResponse, ListPodSandboxResponse, PodSandbox};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A Docker with one container, which `list` describes.
fn docker(list: String) -> Server {
    Server::http(move |path| {
        if path.contains("/events") {
            return None;
        }
        let body = if path.ends_with("/version") {
            "{\"ApiVersion\": \"1.41\"}".to_owned()
        } else if path.contains("/containers/json") {
            list.clone()
        } else if path.contains("/images/") {
            let digest = "e".repeat(64);
            format!(
                "{{\"RepoDigests\": [\"other@sha256:{}\", \"shop/web@sha256:{digest}\"]}}",
                "0".repeat(64)
            )
        } else {
            format!("{{\"Id\": \"{ID}\", \"State\": {{\"Pid\": 7}}}}")
        };
        Some(body)
    })
}

#[test]
fn a_hung_socket_holds_up_no_other() {
    let hung = Server::start(|mut stream| wait(&mut stream));
    let well = docker(format!("[{{\"Id\": \"{ID}\", \"Names\": [\"/web\"]}}]"));
    let listener = listen(Sockets {
        docker: Some(well.socket()),
        containerd: Some(hung.socket()),
        crio: Some(hung.socket()),
        podman: Some(hung.socket()),
    });
    listener.knows(ID, |facts| facts.name.as_deref() == Some("web"));
    for runtime in [Runtime::Containerd, Runtime::Crio, Runtime::Podman] {
        let why = listener.loses(runtime, 1);
        assert!(why.contains("no answer within 2 s"), "{why}");
    }
    assert!(listener.runtimes.ready(Duration::ZERO), "they have failed");
    assert!(listener.known(ID).is_some());
    drop(listener);
}

#[test]
fn questions_to_one_that_hangs_fail_in_time_and_those_that_are_too_many_at_once() {
    // It has listed all, and says nothing of one.
    let server = Server::http(|path| {
        let one = path.contains("/events") || path.contains("filters=");
        let answer = match path.ends_with("/version") {
            true => "{\"ApiVersion\": \"1.41\"}",
            false => "[]",
        };
        (!one).then(|| answer.to_owned())
    });
    let listener = listen(Sockets {
        docker: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    let ids: Vec<String> = (0..1124).map(|i| format!("{i:064x}")).collect();
    for (i, id) in ids.iter().enumerate() {
        if i % 512 == 0 {
            until("those before have been taken", || {
                let questions = listener.runtimes.questions.as_ref()?;
                (questions.capacity() == questions.max_capacity()).then_some(())
            });
        }
        listener.runtimes.ask(Runtime::Docker, id, None);
    }
    let answered = |count: usize| {
        until(&format!("{count} answers"), || {
            let heard = listener.heard.lock().unwrap();
            let all = heard.whole.get(..count)?;
            let mut ids: Vec<String> = all.iter().map(|(_, id)| id.clone()).collect();
            ids.sort_unstable();
            Some(ids)
        })
    };
    assert_eq!(answered(100), ids[1024..], "more than 1,024");
    assert_eq!(answered(ids.len()), ids, "each once");
    // There is room again.
    listener.runtimes.ask(Runtime::Docker, ID, None);
    listener.has_all(Runtime::Docker, ID);
}

/// The process of a container may hang, and with it the list of all tasks; an image is asked of a store.
#[test]
fn a_task_that_hangs_holds_up_no_digest() {
    let digest = format!("sha256:{}", "d".repeat(64));
    let namespaces = containerd::ListNamespacesResponse {
        namespaces: vec![containerd::Namespace {
            name: "shop".to_owned(),
            ..Default::default()
        }],
    };
    let container = containerd::ListContainerMessage {
        container: Some(containerd::Container {
            id: "web".to_owned(),
            image: "shop/web:1".to_owned(),
            ..Default::default()
        }),
    };
    let image = containerd::GetImageResponse {
        image: Some(containerd::Image {
            name: "shop/web:1".to_owned(),
            target: Some(Descriptor {
                digest: digest.clone(),
                ..Default::default()
            }),
            ..Default::default()
        }),
    };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = Arc::clone(&asked);
    let server = Server::grpc_of(move |path, _| {
        let service = path.rsplit('.').next().unwrap_or_default();
        let mut questions = questions.lock().unwrap();
        if !questions.iter().any(|question| question == service) {
            questions.push(service.to_owned());
        }
        match service {
            "Namespaces/List" => Answer::Message(recorded(&namespaces)),
            "Containers/ListStream" => Answer::Message(recorded(&container)),
            "Images/Get" => Answer::Message(recorded(&image)),
            "Tasks/List" | "Events/Subscribe" => Answer::Later,
            _ => Answer::Unimplemented,
        }
    });
    let listener = listen(Sockets {
        containerd: Some(server.socket()),
        ..Sockets::default()
    });
    listener.knows("web", |facts| facts.image_digest.as_ref() == Some(&digest));
    let place = |of: &str| {
        until(of, || {
            let asked = asked.lock().unwrap();
            asked.iter().position(|question| question == of)
        })
    };
    assert!(place("Images/Get") < place("Tasks/List"));
}

#[test]
fn garbage_is_told_in_one_line_and_asked_again() {
    let garbage = Server::start(|mut stream| {
        stream.write_all(b"\x1b[2J\0\xff garbage\r\n\r\n").ok();
        wait(&mut stream);
    });
    let listener = listen(Sockets {
        docker: Some(garbage.socket()),
        containerd: Some(garbage.socket()),
        crio: Some(garbage.socket()),
        podman: Some(garbage.socket()),
    });
    for runtime in [
        Runtime::Docker,
        Runtime::Containerd,
        Runtime::Crio,
        Runtime::Podman,
    ] {
        let why = listener.loses(runtime, 1);
        assert!(why.starts_with(garbage.folder().to_str().unwrap()), "{why}");
        assert!(!why.contains(char::is_control), "{why:?}");
    }
    assert!(listener.heard.lock().unwrap().known.is_empty());
}

#[test]
fn names_and_labels_of_megabytes_are_cut() {
    let long = "n".repeat(1 << 20);
    let labels: Vec<String> = (0..2000).map(|i| format!("\"{i}\": \"{i}\"")).collect();
    let list = format!(
        "[{{\"Id\": \"{ID}\", \"Names\": [\"/{long}\"], \"Image\": \"{long}\", \"Labels\": {{\"a\": \"{long}\", {}}}}}]",
        labels.join(", ")
    );
    let server = docker(list);
    let listener = listen(Sockets {
        docker: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    let known = listener.knows(ID, |facts| facts.name.is_some());
    assert_eq!(known.name.map(|name| name.len()), Some(4096));
    assert_eq!(known.image.map(|name| name.len()), Some(4096));
    let labels = known.labels.expect("labels");
    assert!(labels.len() <= 512 && !labels.contains_key("a"));
}

/// What is asked for beside the list may be all that is known of a container.
#[test]
fn a_runtime_is_ready_when_it_has_answered_what_it_was_asked() {
    let (go_on, held_up) = mpsc::channel::<()>();
    let held_up = Arc::new(Mutex::new(held_up));
    let server = Server::http(move |path| {
        if path.contains("/events") {
            return None;
        }
        if path.contains("filters=") {
            held_up.lock().unwrap().recv().ok();
        }
        let body = match path.ends_with("/version") {
            true => "{\"ApiVersion\": \"1.41\"}",
            false => "[]",
        };
        Some(body.to_owned())
    });
    let listener = listen(Sockets {
        docker: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    listener.runtimes.ask(Runtime::Docker, ID, None);
    assert!(!listener.runtimes.ready(Duration::ZERO));
    drop(go_on);
    listener.has_all(Runtime::Docker, ID);
    listener.runtimes.ask(Runtime::Docker, ID, None);
    let listener = listener.ready();
    let heard = listener.heard.lock().unwrap();
    assert_eq!(heard.whole.len(), 2, "both were answered before");
}

#[test]
fn the_digest_of_a_docker_image_is_that_of_the_name_that_was_asked_for() {
    let image = format!("sha256:{}", "a".repeat(64));
    let list = format!(
        "[{{\"Id\": \"{ID}\", \"Image\": \"shop/web:2\", \"ImageID\": \"{image}\", \"State\": \"running\"}}]"
    );
    let server = docker(list);
    let listener = listen(Sockets {
        docker: Some(server.socket()),
        ..Sockets::default()
    })
    .ready();
    let known = listener.knows(ID, |facts| facts.image_digest.is_some());
    assert_eq!(
        known.image_digest,
        Some(format!("sha256:{}", "e".repeat(64)))
    );
    assert_eq!(known.pid, Some(7));
    assert_eq!(known.labels, Some(BTreeMap::new()), "it says of none");
}

#[test]
fn answers_without_end_are_cut_off() {
    // A list that goes on for ever, and one whose objects are small on the line.
    let endless = Server::start(|mut stream| {
        let head = b"HTTP/1.1 200 OK\r\n\r\n[\"";
        let mut alive = stream.write_all(head).is_ok();
        while alive {
            alive = stream.write_all(&[b'x'; 1 << 16]).is_ok();
        }
    });
    let dense = docker(format!("[{}{{}}]", "{},".repeat(1 << 19)));
    for server in [&endless, &dense] {
        let listener = listen(Sockets {
            docker: Some(server.socket()),
            ..Sockets::default()
        });
        let why = listener.loses(Runtime::Docker, 1);
        assert!(!why.contains(char::is_control), "{why:?}");
        assert!(listener.heard.lock().unwrap().known.is_empty());
    }
}

#[test]
fn a_message_of_countless_empty_parts_is_refused_before_it_grows() {
    let sandboxes = ListPodSandboxResponse {
        items: vec![PodSandbox::default(); (1 << 18) + 1],
    };
    let containers = ListContainersResponse {
        containers: vec![Container::default()],
    };
    let server = Server::grpc(HashMap::from([
        ("ListPodSandbox", recorded(&sandboxes)),
        ("ListContainers", recorded(&containers)),
    ]));
    let listener = listen(Sockets {
        crio: Some(server.socket()),
        ..Sockets::default()
    });
    let why = listener.loses(Runtime::Crio, 1);
    assert!(why.contains("more than 262144 parts"), "{why}");
}
