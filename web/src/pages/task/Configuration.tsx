import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Icon } from "../../parts/Icon";
import { yaml } from "../../parts/yaml";
import { useMay } from "../../session/useMay";
import { EditLock } from "./EditLock";
import type { TabProps } from "./TaskPage";

/** The definition as it would be written in a file. */
export function Configuration({ task, detail, which }: TabProps) {
  const { t } = useTranslation();
  const edits = useMay().allowed("task.edit", task.project);
  const [copied, setCopied] = useState(false);
  const text = yaml(detail.definition);
  return (
    <section className="card">
      <h2>
        {task.changed ? t("configuration.edited") : t("configuration.submitted", { version: task.submitted ?? "–" })}
        <span className="grow" />
        {edits && (
          <Button
            size="compact-sm"
            leftSection={<Icon name="edit" size={13} />}
            renderRoot={(props) => (
              <Link to="/edit/$project/$task" params={{ project: task.project, task: task.name }} {...props} />
            )}
          >
            {t("configuration.edit")}
          </Button>
        )}
        {/* A browser gives the clipboard to pages that came over TLS or from this machine only. */}
        {navigator.clipboard && (
          <Button
            size="compact-sm"
            variant="default"
            onClick={() =>
              void navigator.clipboard.writeText(text).then(() => {
                setCopied(true);
                setTimeout(() => setCopied(false), 2000);
              })
            }
          >
            {copied ? t("configuration.copied") : t("configuration.copy")}
          </Button>
        )}
      </h2>
      <p className="faint">{t("configuration.hint")}</p>
      <EditLock which={which} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <pre className="code" tabIndex={0}>
        {text}
      </pre>
    </section>
  );
}
