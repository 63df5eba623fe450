import { Button, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Icon } from "../../parts/Icon";
import { CheckStep } from "./CheckStep";
import { complete, STEPS } from "./draft";
import { EndsStep } from "./EndsStep";
import { NamesStep } from "./NamesStep";
import type { EditorProps } from "./NewTaskPage";
import { OptionsStep } from "./OptionsStep";
import { TablesStep } from "./TablesStep";

/** One question after another; what was answered can be gone back to at any time. */
export function Wizard(props: EditorProps) {
  const { t } = useTranslation();
  const { draft, search, show } = props;
  // As far as what is needed before it is there: an address may say more.
  const reach = STEPS.findIndex((one) => !complete(draft, one));
  const furthest = reach === -1 ? STEPS.length - 1 : reach;
  const at = Math.min(search.step ? STEPS.indexOf(search.step) : 0, furthest);
  const step = STEPS[at] ?? "ends";
  const go = (place: number) => show({ step: STEPS[place] });
  return (
    <div className="wizard">
      <nav aria-label={t("new.steps")}>
        <ol className="steps">
          {STEPS.map((one, place) => (
            <li key={one}>
              <button
                type="button"
                aria-current={place === at ? "step" : undefined}
                data-done={place < at || undefined}
                disabled={place > furthest}
                onClick={() => go(place)}
              >
                <span className="step-number" aria-hidden="true">
                  {place < at ? <Icon name="check" size={12} /> : place + 1}
                </span>
                {t(`step.${one}`)}
              </button>
            </li>
          ))}
        </ol>
      </nav>
      {step === "ends" && <EndsStep {...props} />}
      {step === "tables" && <TablesStep {...props} />}
      {step === "names" && <NamesStep {...props} />}
      {step === "options" && <OptionsStep {...props} />}
      {step === "check" && <CheckStep {...props} />}
      {step !== "check" && (
        <Group justify="space-between" className="wizard-foot">
          <Button variant="default" disabled={at === 0} onClick={() => go(at - 1)}>
            {t("new.back")}
          </Button>
          <Button disabled={!complete(draft, step)} rightSection={<Icon name="arrow" />} onClick={() => go(at + 1)}>
            {t("new.next")}
          </Button>
        </Group>
      )}
    </div>
  );
}
