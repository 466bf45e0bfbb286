/* A PC/SC driver for a reader whose plug can be pulled while pcscd runs.
 *
 * vsmartcard's virtual reader never leaves: its driver has no word for that. This one stands before it and passes every
 * call on, as long as the file PLUG is there. Without it every call is answered as the driver of a USB reader answers
 * once the device is gone: IFD_NO_SUCH_DEVICE, also when the plug was pulled while the call was under way, so that what
 * the card has answered by then is lost.
 *
 * pcscd lets go of a pulled reader only when the last command to it has come back, so a plug that is in again at once
 * makes a second reader beside it, with another number in its name. Each has a slot of the virtual driver, and so a port,
 * of its own; the port of the newest is written to PORT_TOLD.
 *
 * PLUG, PORT_TOLD and VIRTUAL_DRIVER are paths, given when this is compiled.
 * Source: pcsc-lite's ifdhandler.h (IFD Handler 3.0).
 *
 * SPDX-License-Identifier: EUPL-1.2
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ifdhandler.h>

#define VIRTUAL_DEVICE "/dev/null:0x8C7B" /* no host to connect to: it listens at this port plus the slot */
#define FIRST_PORT 0x8C7B
#define VIRTUAL_SLOTS 2

/* The virtual driver's function of the same name. */
#define THEIR(function) ((__typeof__(&function))their_symbol(#function))
#define WHILE_PLUGGED(call) (is_plugged() ? unless_pulled(call) : IFD_NO_SUCH_DEVICE)

static void *their_symbol(const char *name)
{
	static void *driver;
	void *found;

	if (driver == NULL)
		driver = dlopen(VIRTUAL_DRIVER, RTLD_NOW | RTLD_LOCAL);
	found = driver == NULL ? NULL : dlsym(driver, name);
	if (found == NULL) {
		fprintf(stderr, "unpluggable: %s\n", dlerror());
		abort();
	}
	return found;
}

static int is_plugged(void)
{
	return access(PLUG, F_OK) == 0;
}

static RESPONSECODE unless_pulled(RESPONSECODE answer)
{
	return is_plugged() ? answer : IFD_NO_SUCH_DEVICE;
}

static struct {
	int is_taken;
	DWORD lun;
} slots[VIRTUAL_SLOTS];

/* The virtual slot of a reader of pcscd's. One may be dropped while the next is made: each touches its own slot only. */
static DWORD slot_of(DWORD lun)
{
	DWORD slot = 0;

	while (slot < VIRTUAL_SLOTS - 1 && !(slots[slot].is_taken && slots[slot].lun == lun))
		slot++;
	return slot;
}

static void tell_port(DWORD slot)
{
	FILE *told = fopen(PORT_TOLD ".new", "w");

	if (told == NULL || fprintf(told, "%lu", FIRST_PORT + slot) < 0 || fclose(told) != 0 ||
	    rename(PORT_TOLD ".new", PORT_TOLD) != 0)
		abort();
}

RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR usb_device)
{
	RESPONSECODE answer;
	DWORD slot = 0;

	(void)usb_device;
	while (slot < VIRTUAL_SLOTS && slots[slot].is_taken)
		slot++;
	if (!is_plugged() || slot == VIRTUAL_SLOTS)
		return IFD_NO_SUCH_DEVICE;
	answer = THEIR(IFDHCreateChannelByName)(slot, (char[]){VIRTUAL_DEVICE});
	if (answer == IFD_SUCCESS) {
		slots[slot].lun = lun;
		slots[slot].is_taken = 1;
		tell_port(slot);
	}
	return answer;
}

RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
	(void)lun;
	(void)channel;
	return IFD_NOT_SUPPORTED; /* USB readers are opened by name */
}

RESPONSECODE IFDHCloseChannel(DWORD lun)
{
	DWORD slot = slot_of(lun);
	RESPONSECODE answer = THEIR(IFDHCloseChannel)(slot); /* what it holds is given back, plugged in or not */

	slots[slot].is_taken = 0;
	return answer;
}

RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
	/* As libccid: a reader has one slot, and several readers may be there at once, each with a number of its own. */
	if ((tag == TAG_IFD_SLOTS_NUMBER || tag == TAG_IFD_SIMULTANEOUS_ACCESS) && *length >= 1) {
		*length = 1;
		*value = tag == TAG_IFD_SLOTS_NUMBER ? 1 : VIRTUAL_SLOTS;
		return IFD_SUCCESS;
	}
	return THEIR(IFDHGetCapabilities)(slot_of(lun), tag, length, value);
}

RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
	return THEIR(IFDHSetCapabilities)(slot_of(lun), tag, length, value);
}

RESPONSECODE IFDHSetProtocolParameters(DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2, UCHAR pts3)
{
	return WHILE_PLUGGED(THEIR(IFDHSetProtocolParameters)(slot_of(lun), protocol, flags, pts1, pts2, pts3));
}

RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR atr, PDWORD atr_length)
{
	return WHILE_PLUGGED(THEIR(IFDHPowerICC)(slot_of(lun), action, atr, atr_length));
}

RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send_pci, PUCHAR sent, DWORD sent_length, PUCHAR received,
			       PDWORD received_length, PSCARD_IO_HEADER receive_pci)
{
	return WHILE_PLUGGED(
		THEIR(IFDHTransmitToICC)(slot_of(lun), send_pci, sent, sent_length, received, received_length, receive_pci));
}

RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR sent, DWORD sent_length, PUCHAR received, DWORD room,
			 LPDWORD received_length)
{
	return WHILE_PLUGGED(THEIR(IFDHControl)(slot_of(lun), code, sent, sent_length, received, room, received_length));
}

RESPONSECODE IFDHICCPresence(DWORD lun)
{
	return WHILE_PLUGGED(THEIR(IFDHICCPresence)(slot_of(lun)));
}
