"use strict";
// Photos for the message: from a camera of this device, front or back, one after another, or from a phone's own
// camera app. They are attached together, as if they had been chosen.
(() => {
  const { text, make, watch } = window.page;
  const QUALITY = 0.92; // of the JPEG
  const IDEAL = { width: { ideal: 1920 }, height: { ideal: 1080 } };
  const REASONS = { NotAllowedError: "camera_denied", NotFoundError: "camera_missing", OverconstrainedError: "camera_missing" };
  const touch = () => matchMedia("(pointer: coarse)").matches;

  const drawing = (path) => {
    const icon = make("svg", { viewBox: "0 0 24 24", width: 20, height: 20, fill: "none", stroke: "currentColor",
      "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-linecap": "round", "aria-hidden": "true" });
    icon.append(make("path", { d: path }));
    return icon;
  };
  const CAMERA = "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z";
  const FLIP = "M4 11a8 8 0 0 1 14-4l2 2M20 4v5h-5M20 13a8 8 0 0 1-14 4l-2-2M4 20v-5h5";
  const button = (name, content, press, kind = "") => {
    const made = make("button", { type: "button", class: kind, "aria-label": name, title: name }, content);
    made.addEventListener("click", press);
    return made;
  };

  watch(() => {
    const place = document.querySelector(".ms-gr-pro-multimodal-input .ms-gr-ant-sender-prefix");
    if (place && !place.querySelector(".camera-open"))
      place.append(button(text("camera"), drawing(CAMERA), (event) => openCamera(event.currentTarget), "camera-open"));
  });

  /** The live picture of one camera at a time. */
  function liveCamera(video, say) {
    let stream = null, closed = false;
    const stop = () => { stream?.getTracks().forEach((track) => track.stop()); stream = null; video.srcObject = null; };

    async function start(wanted) {
      stop();
      try {
        if (!navigator.mediaDevices) throw new DOMException("", "InsecureContext");
        const opened = await navigator.mediaDevices.getUserMedia({ video: { ...IDEAL, ...wanted }, audio: false });
        if (closed) return opened.getTracks().forEach((track) => track.stop());
        stop();
        stream = opened;
        video.srcObject = stream;
        video.classList.toggle("camera-mirrored", settings().facingMode === "user");
        await video.play();
        say("");
      } catch (error) {
        if (!closed) say(text(REASONS[error.name] || (navigator.mediaDevices ? "camera_busy" : "camera_insecure")));
      }
    }
    const settings = () => stream?.getVideoTracks()[0]?.getSettings() || {};

    async function flip() { // by side where cameras tell theirs, else the next one
      const { facingMode, deviceId } = settings();
      if (facingMode) return start({ facingMode: facingMode === "user" ? "environment" : "user" });
      const cameras = (await others()).map((each) => each.deviceId);
      return start({ deviceId: { exact: cameras[(cameras.indexOf(deviceId) + 1) % cameras.length] } });
    }
    const others = async () =>
      (await navigator.mediaDevices?.enumerateDevices() || []).filter((each) => each.kind === "videoinput");

    async function shot() { // as the camera sees it, not as a mirror does
      if (!stream || !video.videoWidth) return null;
      const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
      canvas.getContext("2d").drawImage(video, 0, 0);
      return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    }
    return { start, flip, shot, several: async () => (await others()).length > 1, on: () => !!stream,
      close: () => { closed = true; stop(); } };
  }

  function openCamera(opener) {
    const photos = []; // files, in the order of the list
    const video = make("video", { playsinline: "", "aria-label": text("camera_live") });
    video.muted = true;
    const note = make("p", { class: "camera-note", role: "status" }, text("camera_starting"));
    const list = make("ul", { class: "camera-photos", "aria-label": text("camera_photos") });
    const live = liveCamera(video, (words) => { note.textContent = words; refresh(); });

    const app = make("input", { type: "file", accept: "image/*", capture: "environment", multiple: "", hidden: "" });
    app.addEventListener("change", () => { [...app.files].forEach(add); app.value = ""; });
    const shutter = button(text("camera_shoot"), "", async () => {
      const photo = await live.shot();
      if (photo) add(new File([photo], `photo_${photos.length + 1}.jpg`, { type: "image/jpeg" }));
    }, "camera-shutter");
    const flip = button(text("camera_flip"), drawing(FLIP), () => live.flip(), "camera-flip");
    const fromApp = button(text("camera_app"), text("camera_app"), () => app.click(), "camera-app");
    const attach = button("", "", () => finish(true), "camera-attach");
    attach.removeAttribute("aria-label");
    const cancel = button(text("cancel"), text("cancel"), () => finish(false), "camera-cancel");
    const dialog = make("dialog", { class: "camera-dialog", "aria-label": text("camera") },
      make("div", { class: "camera-view" }, video, note), list,
      make("div", { class: "camera-row" }, flip, shutter, fromApp), make("div", { class: "camera-row" }, cancel, attach), app);

    function add(photo) { photos.push(photo); refresh(); }
    const forget = () => list.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    async function refresh() {
      forget();
      list.replaceChildren(...photos.map((photo, at) => make("li", {},
        make("img", { src: URL.createObjectURL(photo), alt: text("camera_photo", { number: at + 1 }) }),
        button(text("camera_remove", { number: at + 1 }), "×", () => { photos.splice(at, 1); refresh(); }))));
      attach.textContent = text("camera_attach", { count: photos.length });
      attach.disabled = !photos.length;
      shutter.disabled = !live.on();
      fromApp.hidden = !touch();
      flip.hidden = !live.on() || !(await live.several());
    }
    function finish(taken) {
      dialog.close();
      if (taken) window.attachFiles(photos);
      else opener.focus();
    }
    dialog.addEventListener("close", () => { live.close(); forget(); dialog.remove(); });
    (document.querySelector(".gradio-container") || document.body).append(dialog);
    dialog.showModal();
    refresh();
    const first = document.activeElement;
    live.start({ facingMode: touch() ? "environment" : "user" }) // until then it is disabled
      .then(() => { if (document.activeElement === first) shutter.focus(); });
  }
})();
