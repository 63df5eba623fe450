import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { type Problem, UNREACHABLE } from "../api/client";
import { Icon } from "./Icon";

interface Given {
  problem: Problem;
  tone?: "error" | "warning" | "info";
  title?: string;
  again?: () => void;
  children?: React.ReactNode;
}

/** What went wrong, and what can be done: the server's own words. */
export function ProblemBox({ problem, tone = "error", title, again, children }: Given) {
  const { t } = useTranslation();
  const away = problem.code === UNREACHABLE;
  const heading = title ?? (away ? t("problem.unreachable") : problem.title || t("problem.unknown"));
  const advice = away ? t("problem.unreachableAdvice") : problem.advice;
  return (
    <section className={`box box-${tone}`} role={tone === "error" ? "alert" : "note"}>
      <Icon name={tone} size={18} />
      <div className="box-text">
        <strong>{heading}</strong>
        {problem.detail && <p>{problem.detail}</p>}
        {problem.errors && problem.errors.length > 1 && (
          <ul>
            {problem.errors.slice(0, 10).map((one, place) => (
              <li key={place}>{one.field ? `${one.field}: ${one.problem ?? ""}` : (one.detail ?? one.problem)}</li>
            ))}
          </ul>
        )}
        {advice && <p className="box-advice">{advice}</p>}
        {problem.code && !away && <code className="box-code">{problem.code}</code>}
        {children}
        {again && (
          <Button size="compact-sm" variant="default" onClick={again} mt={6}>
            {t("problem.again")}
          </Button>
        )}
      </div>
    </section>
  );
}
