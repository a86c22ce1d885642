"use strict";
// What passes between Gradio's script and the server: calls are seen before they leave, and steps of an event that come
// too early or too late are put right.
window.pageWire = (() => {
  const { until } = window.page;
  const post = window.fetch;
  const seers = [], receivers = [];

  window.fetch = (resource, options) => {
    const address = String(resource?.url || resource);
    if (/\/upload(\?|$)/.test(address)) return upload(resource, options);
    if (/\/(cancel|reset)(\?|$)/.test(address)) return cancel(resource, options);
    if (address.includes("/queue/data")) return listen(resource, options);
    if (address.includes("/queue/join")) return join(resource, options);
    return post(resource, options);
  };

  // --- calls --------------------------------------------------------------------------------------------------------
  function mayAnswer(body) { // Send, Regenerate, Retry, an edit: what changes the conversation
    const { components, dependencies } = window.gradio_config;
    const [, called] = body.match(/"fn_index":\s*(\d+)/) || [];
    const chatbot = components.find(({ props }) => props.elem_classes?.includes("conversation"));
    return !!dependencies.find(({ id }) => id === Number(called))?.outputs.includes(chatbot?.id);
  }
  // Our own calls, the meter's for one, carry what stands in the message box too.
  const fromScript = (body) => {
    const [, trigger] = body.match(/"trigger_id":\s*(\d+)/) || [];
    return window.gradio_config.components
      .some(({ id, props }) => id === Number(trigger) && props.elem_classes?.includes("page-bridge"));
  };
  function seen(options) {
    const body = String(options?.body || "");
    if (fromScript(body)) return options;
    const answering = mayAnswer(body);
    return { ...options, body: seers.reduce((text, see) => see(text, answering) ?? text, body) };
  }

  // What Gradio hears of a call before the reply to it is put together, each step changing the one before in place: that
  // the box is empty and the button is Stop, which the first step alone says, would be lost. So it hears it afterwards.
  const SOON = 30, LATE = 2000; // ms: for the reply to be read; for a reply to hold others up
  const joining = new Set(); // calls without a reply
  async function join(resource, options) {
    const call = { of: String(options?.body || "").match(/"fn_index":\s*(\d+)/)?.[1], cancel: null };
    joining.add(call);
    try {
      const answer = await post(resource, seen(options));
      const text = await answer.text();
      if (call.cancel) call.cancel(JSON.parse(text).event_id);
      return new Response(text, answer);
    } finally {
      setTimeout(() => joining.delete(call), SOON);
    }
  }

  // --- ends ---------------------------------------------------------------------------------------------------------
  // Gradio goes on showing what comes of an event that it has asked the server to end, over what came after it: the
  // conversation that was left over the one that was opened. And where its call has no reply yet it asks for nothing to
  // end, in two ways, which the server refuses; the event is ended then once it has a name.
  const ended = new Set(); // names of events, until their end has come
  async function cancel(resource, options) {
    const asked = JSON.parse(options?.body || "{}");
    const end = (id) => {
      ended.add(id);
      return post(resource, { ...options, body: JSON.stringify({ ...asked, event_id: id }) });
    };
    if (asked.event_id) return end(asked.event_id);
    for (const call of joining) if (call.of === String(asked.fn_index)) call.cancel = (id) => { if (id) end(id); };
    return new Response("{}");
  }
  function without(block) { // of the events that were ended no more than that they have
    const id = [...ended].find((name) => block.includes(name));
    if (!id) return block;
    const said = JSON.parse(block.replace(/^data: /, ""));
    if (said.event_id !== id) return block;
    if (said.msg !== "process_completed") return "";
    ended.delete(id);
    return `data: ${JSON.stringify({ ...said, output: {}, success: true })}\n\n`;
  }

  // --- steps --------------------------------------------------------------------------------------------------------
  async function listen(resource, options) {
    const answer = await post(resource, options);
    if (!answer.ok || !answer.body) return answer;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(), held = [], bytes = new TextEncoder();
    const read = async (out) => {
      const pass = () => held.splice(0).forEach((block) => {
        const left = without(block);
        if (left) out.enqueue(bytes.encode(left));
      });
      for (let rest = "";;) {
        const { value, done } = await reader.read();
        const blocks = (rest + (value || "")).split(/(?<=\n\n)/);
        rest = done || blocks.at(-1).endsWith("\n\n") ? "" : blocks.pop();
        held.push(...blocks.filter(Boolean));
        if (done) break;
        if (joining.size) until(() => !joining.size, LATE).then(pass); else pass();
      }
      // At once: the server has ended it before it knew of the call, whose reply must find that there is no stream.
      pass();
      out.close();
    };
    const body = new ReadableStream({
      start(out) { read(out).catch((error) => { held.length = 0; out.error(error); }); },
      cancel: (reason) => { held.length = 0; return reader.cancel(reason); },
    });
    return new Response(body, answer);
  }

  // --- files --------------------------------------------------------------------------------------------------------
  async function upload(resource, options) {
    let answer = null;
    try {
      return answer = await post(resource, options);
    } finally {
      await Promise.all(receivers.map((receive) => receive(!!answer?.ok, options?.body)));
    }
  }

  return {
    /** Hear of each call of the user's, not of a script's, before it leaves: see(body, answering) may give another body. */
    whenCalled: (see) => seers.push(see),
    /** Hear of each upload: receive(ok, body); its end waits for what that gives. */
    whenUploaded: (receive) => receivers.push(receive),
  };
})();
