import { Button, Group, Textarea } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../../api/client";
import { ProblemBox } from "../../parts/ProblemBox";
import { yaml } from "../../parts/yaml";
import { type Draft, tidy } from "./draft";
import type { EditorProps } from "./NewTaskPage";

/** The same as text: what is written here is what the form shows, and the other way round. */
export function YamlPane({ draft, setDraft, show }: EditorProps) {
  const { t } = useTranslation();
  const [text, setText] = useState(() => yaml(tidy(draft)));
  const read = useMutation({
    mutationFn: (given: string) => ask(api.POST("/api/v1/definitions/read", { body: { text: given } })),
    onSuccess: (said) => setDraft(said.definition as Draft),
  });
  const later = useDebouncedCallback((given: string) => read.mutate(given), 500);
  const wrong = read.data?.errors ?? [];
  return (
    <section className="card">
      <p className="faint">{t("new.yamlHint")}</p>
      <Textarea
        aria-label="YAML"
        className="yaml"
        value={text}
        autosize
        minRows={18}
        spellCheck={false}
        onChange={(event) => {
          setText(event.currentTarget.value);
          later(event.currentTarget.value);
        }}
      />
      {read.error && <ProblemBox problem={problemOf(read.error)} />}
      {wrong.length > 0 && (
        <ProblemBox
          tone="warning"
          title={t("new.incomplete")}
          problem={{ title: "", status: 0, code: "", detail: "", advice: "" }}
        >
          <ul>
            {wrong.map((one) => (
              <li key={String(one.field)}>
                <code>{String(one.field)}</code> {String(one.problem)}
              </li>
            ))}
          </ul>
        </ProblemBox>
      )}
      <Group justify="flex-end" mt="sm">
        <Button
          disabled={read.isPending || read.error !== null}
          onClick={() => show({ yaml: undefined, step: "check" })}
        >
          {t("new.toCheck")}
        </Button>
      </Group>
    </section>
  );
}
